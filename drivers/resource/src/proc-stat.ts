/**
 * What /proc/<pid>/stat says about one process. A pid alone names nobody: numbers are used again, so a process is named
 * by its pid together with the time at which it started.
 */

import { closeSync, openSync, readdirSync, readSync } from "node:fs";

export type ProcStat = {
  readonly pid: number;
  /** One letter: R, S, D, T (stopped), t (traced), Z (zombie), X (dead)... */
  readonly state: string;
  readonly group: number;
  readonly session: number;
  /** User and system time so far, in clock ticks. */
  readonly cpuTicks: number;
  /** Time since boot at which it started, in clock ticks. */
  readonly startTicks: number;
  readonly residentPages: number;
};

export type ProcessName = { readonly pid: number; readonly pidStartTicks: number };

// Offsets among the fields that follow the command name, of proc(5); field 3 of the manual is number 0 here.
const STATE = 0;
const GROUP = 2;
const SESSION = 3;
const USER_TICKS = 11;
const SYSTEM_TICKS = 12;
const START_TICKS = 19;
const RESIDENT_PAGES = 21;
const CLOSING_PARENTHESIS = 41;

/** Undefined when the text is not of this format. A command name may hold spaces, parentheses and line ends. */
export function parseProcStat(text: string): ProcStat | undefined {
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  if (open < 1 || close < open) return undefined;
  const fields = text.slice(close + 2).split(" ", RESIDENT_PAGES + 1);
  if (fields.length <= RESIDENT_PAGES) return undefined;
  const stat: ProcStat = {
    pid: Number(text.slice(0, open)),
    state: fields[STATE]!,
    group: Number(fields[GROUP]),
    session: Number(fields[SESSION]),
    cpuTicks: Number(fields[USER_TICKS]) + Number(fields[SYSTEM_TICKS]),
    startTicks: Number(fields[START_TICKS]),
    residentPages: Number(fields[RESIDENT_PAGES]),
  };
  const numbers = [stat.pid, stat.group, stat.session, stat.cpuTicks, stat.startTicks, stat.residentPages];
  return /^[A-Za-z]$/.test(stat.state) && numbers.every(Number.isInteger) ? stat : undefined;
}

/** A zombie has run its last instruction: only its exit status is left. */
export function canRun(stat: Pick<ProcStat, "state">): boolean {
  return stat.state !== "Z" && stat.state !== "X" && stat.state !== "x";
}

const STAT_BYTES_MAX = 1024;
/** One buffer for all reads, which are synchronous: looking through a whole /proc must not cost an allocation each. */
const reused = Buffer.alloc(STAT_BYTES_MAX);

/** Undefined when there is no such process. */
export function readProcStat(pid: number): ProcStat | undefined {
  try {
    const fd = openSync(`/proc/${pid}/stat`, "r");
    try {
      return parseProcStat(reused.toString("latin1", 0, readSync(fd, reused, 0, STAT_BYTES_MAX, 0)));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** The process of exactly this name while it can run. */
export function readLiving({ pid, pidStartTicks }: ProcessName): ProcStat | undefined {
  const stat = readProcStat(pid);
  return stat && stat.startTicks === pidStartTicks && canRun(stat) ? stat : undefined;
}

export function listPids(): number[] {
  return readdirSync("/proc").map(Number).filter(Number.isInteger);
}

/**
 * Reads the stat of one process again and again through one open file: cheap, and bound to that very process, because an
 * open file of /proc never turns to a later process with the same number.
 */
export class ProcStatFile {
  #fd: number | undefined;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Undefined when that process is gone or another one has its number. */
  static open({ pid, pidStartTicks }: ProcessName): ProcStatFile | undefined {
    let file: ProcStatFile;
    try {
      file = new ProcStatFile(openSync(`/proc/${pid}/stat`, "r"));
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
    if (file.read()?.startTicks === pidStartTicks) return file;
    file.close();
    return undefined;
  }

  /** Undefined when the process is gone. */
  read(): ProcStat | undefined {
    const bytes = this.#fill();
    return bytes === 0 ? undefined : parseProcStat(reused.toString("latin1", 0, bytes));
  }

  /** Its state letter alone, at a fraction of the cost; undefined when the process is gone. */
  readState(): string | undefined {
    const bytes = this.#fill();
    const close = reused.lastIndexOf(CLOSING_PARENTHESIS, bytes - 1);
    return bytes === 0 || close === -1 ? undefined : String.fromCharCode(reused[close + 2]!);
  }

  /** Fills the buffer; 0 when the process is gone. */
  #fill(): number {
    if (this.#fd === undefined) return 0;
    try {
      return readSync(this.#fd, reused, 0, STAT_BYTES_MAX, 0);
    } catch (error) {
      if (isGone(error)) return 0;
      throw error;
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

function isGone(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "ENOENT" || code === "ESRCH";
}
