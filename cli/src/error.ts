/** What a command tells its user when it cannot go on: one sentence that says what and what to do, and an exit code. */

export type CliErrorCode = "invalid" | "failed";

export const EXIT_CODES: Record<CliErrorCode, number> = { failed: 1, invalid: 2 };

export class CliError extends Error {
  readonly code: CliErrorCode;
  constructor(code: CliErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "CliError";
    this.code = code;
  }
}
