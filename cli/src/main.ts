/** The command line, `understudy`: one program, one file per command in commands/. */

import { runProgram } from "./program.ts";

process.exit(await runProgram(process.argv.slice(2)));
