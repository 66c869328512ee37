/**
 * A reading that takes time, made at each tick without ever delaying one: at most one is under way, and a tick gets what
 * has arrived since the tick before, or nothing.
 */

export class LateReading<T> {
  readonly #read: () => Promise<T>;
  readonly #failed: (error: Error) => void;
  #underWay: Promise<void> | undefined;
  #arrived: T | undefined;

  /** `read` bounds its own time. */
  constructor(read: () => Promise<T>, failed: (error: Error) => void) {
    this.#read = read;
    this.#failed = failed;
  }

  /** Starts the next one unless one is still under way; resolves when it has come or failed. Never rejects. */
  start(): Promise<void> {
    this.#underWay ??= this.#once();
    return this.#underWay;
  }

  /** What has arrived since the last call; undefined when nothing did. */
  take(): T | undefined {
    const arrived = this.#arrived;
    this.#arrived = undefined;
    return arrived;
  }

  async #once(): Promise<void> {
    try {
      this.#arrived = await this.#read();
    } catch (error) {
      this.#failed(error as Error);
    } finally {
      this.#underWay = undefined;
    }
  }
}
