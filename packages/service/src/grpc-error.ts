/** How a call fails: a closed set of codes, to and from the status of gRPC. */

import type { DescMethod } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";

export type GrpcCode =
  | "cancelled"
  | "invalid-argument"
  | "deadline-exceeded"
  | "not-found"
  | "already-exists"
  | "permission-denied"
  | "failed-precondition"
  | "aborted"
  | "unimplemented"
  | "unavailable"
  | "internal";

const STATUS_BY_CODE: Record<GrpcCode, grpc.status> = {
  cancelled: grpc.status.CANCELLED,
  "invalid-argument": grpc.status.INVALID_ARGUMENT,
  "deadline-exceeded": grpc.status.DEADLINE_EXCEEDED,
  "not-found": grpc.status.NOT_FOUND,
  "already-exists": grpc.status.ALREADY_EXISTS,
  "permission-denied": grpc.status.PERMISSION_DENIED,
  "failed-precondition": grpc.status.FAILED_PRECONDITION,
  aborted: grpc.status.ABORTED,
  unimplemented: grpc.status.UNIMPLEMENTED,
  unavailable: grpc.status.UNAVAILABLE,
  internal: grpc.status.INTERNAL,
};

export class GrpcError extends Error {
  readonly code: GrpcCode;
  constructor(code: GrpcCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "GrpcError";
    this.code = code;
  }
}

/** What a server answers when a handler throws. */
export function statusOf(error: unknown): Partial<grpc.StatusObject> & Error {
  const known = error instanceof GrpcError;
  const code = known ? STATUS_BY_CODE[error.code] : grpc.status.INTERNAL;
  const details = error instanceof Error ? error.message : String(error);
  return Object.assign(new Error(details), { code, details });
}

/** What a client throws when a call fails. */
export function errorOf(error: grpc.ServiceError, method: DescMethod): GrpcError {
  const found = Object.entries(STATUS_BY_CODE).find(([, status]) => status === error.code);
  const code = (found?.[0] as GrpcCode | undefined) ?? "internal";
  return new GrpcError(code, `${method.parent.name}.${method.name}: ${error.details || error.message}`, {
    cause: error,
  });
}
