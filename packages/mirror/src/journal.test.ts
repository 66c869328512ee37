import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openJournal } from "./journal.ts";

function scratch(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "understudy-journal-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, "journal");
}

async function entriesIn(file: string): Promise<string[]> {
  const found: string[] = [];
  const journal = await openJournal(file, (payload) => void found.push(Buffer.from(payload).toString()));
  await journal.close();
  return found;
}

const bytes = (text: string) => Buffer.from(text);

test("what was appended is found again, in order, and each entry can be read where it lies", async (t) => {
  const file = scratch(t);
  const journal = await openJournal(file, () => assert.fail("a new journal is empty"));
  const [one, two] = await Promise.all([
    journal.append([bytes("one"), bytes("two")]),
    journal.append([bytes("three")]),
  ]);
  await journal.sync();
  assert.equal(Buffer.from(await journal.read(one[1]!)).toString(), "two");
  assert.equal(Buffer.from(await journal.read(two[0]!)).toString(), "three");
  await journal.close();
  assert.deepEqual(await entriesIn(file), ["one", "two", "three"]);
});

test("an entry that is cut or altered ends the journal there", async (t) => {
  const file = scratch(t);
  const journal = await openJournal(file, () => undefined);
  const [, second, third] = await journal.append([bytes("first"), bytes("second"), bytes("third")]);
  const used = third!.offset + third!.length;
  await journal.close();
  const whole = readFileSync(file).subarray(0, used);
  for (let length = 0; length < whole.length; length += 1) {
    writeFileSync(file, whole);
    truncateSync(file, length);
    const found = await entriesIn(file);
    assert.deepEqual(found, ["first", "second", "third"].slice(0, found.length));
  }
  const altered = Buffer.from(whole);
  altered[second!.offset] = altered[second!.offset]! ^ 1;
  writeFileSync(file, altered);
  assert.deepEqual(await entriesIn(file), ["first"]);
});

test("after a rewind nothing old comes back, whatever the length of the new entries", async (t) => {
  const file = scratch(t);
  let journal = await openJournal(file, () => undefined);
  await journal.append(Array.from({ length: 50 }, (_, at) => bytes(`old entry ${at}`)));
  await journal.rewind();
  assert.equal(journal.bytes, 0);
  await journal.close();
  assert.deepEqual(await entriesIn(file), []);
  journal = await openJournal(file, () => assert.fail("rewound"));
  // As long as an old one, so that the next old entry begins exactly where this one ends.
  await journal.append([bytes("new entry 0")]);
  await journal.close();
  assert.deepEqual(await entriesIn(file), ["new entry 0"]);
});

test("a file that is no journal is taken for an empty one", async (t) => {
  const file = scratch(t);
  writeFileSync(file, "anything but a journal, and longer than a header");
  assert.deepEqual(await entriesIn(file), []);
  const journal = await openJournal(file, () => undefined);
  await journal.append([bytes("entry")]);
  await journal.close();
  assert.deepEqual(await entriesIn(file), ["entry"]);
});
