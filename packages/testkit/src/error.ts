/** What goes wrong while servers and clusters are set up for tests, demos and benches. */

export type TestkitErrorCode =
  | "not-found"
  | "not-ready"
  | "not-ours"
  | "timeout"
  | "bad-scenario"
  | "engine-refused";

export class TestkitError extends Error {
  readonly code: TestkitErrorCode;
  constructor(code: TestkitErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "TestkitError";
    this.code = code;
  }
}
