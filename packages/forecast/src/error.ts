/** What goes wrong in this package, with a closed set of codes. */

export type ForecastErrorCode = "snapshot_foreign" | "snapshot_corrupt" | "snapshot_version";

export class ForecastError extends Error {
  readonly code: ForecastErrorCode;

  constructor(code: ForecastErrorCode, message: string) {
    super(message);
    this.name = "ForecastError";
    this.code = code;
  }
}
