/** The sender's side of the small talk with a receiver: pairing, and asking for a folder again and again for as long as it is filled. */

import { callEnrolment, EnrolmentError, join } from "@understudy/service/enrolment-client";
import type { EnrolmentToken } from "@understudy/service/enrolment-token";
import type { TlsMaterial } from "@understudy/service/tls";
import { z } from "zod";
import { CliError } from "../error.ts";
import { certificateName, ownLabel, savePairing } from "./pairings.ts";

/** Name under which the ends of such a mirror meet. */
export const DATA_RESOURCE = "folder";
/** A folder stays its sender's for so long after the last word. */
export const OPEN_KEPT_MS = 10_000;
/** Said so often. */
export const OPEN_EVERY_MS = 2_000;

export type Wanted = {
  readonly folder: string;
  readonly paths: readonly string[];
  readonly consistency: "none" | "sqlite";
  readonly incarnation: string;
};

/** Where the receiver takes the bytes, and under which name. */
export type Room = { readonly address: string; readonly instance: string };

export async function pair(options: {
  readonly address: string;
  readonly token: EnrolmentToken;
  readonly stateFolder: string;
}): Promise<TlsMaterial> {
  const { address, token, stateFolder } = options;
  const label = ownLabel();
  try {
    const { tls } = await join({ address, token, name: certificateName(label), about: { name: label } });
    savePairing(stateFolder, address, tls);
    return tls;
  } catch (error) {
    throw asCliError(error);
  }
}

const roomSchema = z.object({ port: z.int().min(1).max(65_535), instance: z.string() });

export async function openRoom(address: string, tls: TlsMaterial, wanted: Wanted): Promise<Room> {
  const answer = await callEnrolment({ address, ...tls, path: "/v1/open", body: wanted });
  const room = roomSchema.safeParse(answer);
  if (!room.success) throw new EnrolmentError("garbage", `${address} answers what we do not understand`);
  const host = address.slice(0, address.lastIndexOf(":"));
  return { address: `${host}:${room.data.port}`, instance: room.data.instance };
}

export async function closeRoom(address: string, tls: TlsMaterial, incarnation: string): Promise<void> {
  await callEnrolment({ address, ...tls, path: "/v1/close", body: { incarnation } });
}

/** What went wrong with a receiver, as a sentence with what to do. */
export function asCliError(error: unknown): unknown {
  if (!(error instanceof EnrolmentError)) return error;
  const remedy = remedyOf(error);
  return new CliError("failed", `${error.message}${remedy}`, { cause: error });
}

function remedyOf({ code, cause, message }: EnrolmentError): string {
  const tlsCode = String((cause as NodeJS.ErrnoException | undefined)?.code ?? "");
  if (/CERT|SELF_SIGNED|SIGNATURE|ALTNAME/.test(tlsCode))
    return ". It is not the receiver we were paired with: pair again with the --token it prints";
  if (code === "refused" && message.endsWith("join"))
    return ". The receiver no longer knows us: pair again with the --token it prints";
  return code === "unreachable"
    ? ". Does `understudy mirror --listen` run there, and does a firewall let its two ports through?"
    : "";
}
