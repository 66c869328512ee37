/** What every benchmark is: a function from the command line's options to the values of its JSON line. */

export type BenchOptions = ReadonlyMap<string, string>;
/** `valid: false` says that the machine or the run was not fit for a judgement; the process then ends with 3. */
export type BenchResult = Readonly<Record<string, unknown>> & { readonly valid?: boolean };
