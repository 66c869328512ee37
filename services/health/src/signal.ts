/** What can be learnt about an instance at one moment: what a probe found, or what its host says about its process. */

export type ProbeKind = "http" | "tcp" | "exec";

export type ProbeOutcome =
  | { readonly kind: "good"; readonly detail: string }
  /** It answers "not now": it lives and has too much to do. */
  | { readonly kind: "busy"; readonly detail: string }
  /** It answers what a working instance does not answer. */
  | { readonly kind: "wrong"; readonly detail: string }
  /** No answer in time. `connected`: it had taken the connection, so its host and its kernel live. */
  | { readonly kind: "late"; readonly detail: string; readonly connected: boolean }
  /** Its host lives and nobody listens there. */
  | { readonly kind: "refused"; readonly detail: string };

/** "stopped": it exists and executes nothing (SIGSTOP, a debugger). */
export type ProcessCondition = "running" | "stopped" | "gone";

export type Signal =
  | { readonly from: "process"; readonly condition: ProcessCondition; readonly detail: string }
  | { readonly from: ProbeKind; readonly outcome: ProbeOutcome };
