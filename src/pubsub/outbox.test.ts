import { expect, test, vi } from 'vitest';
import { MOST_BYTES, MOST_ENTRY_BYTES, Outbox } from './outbox.js';

function createOutbox(notify: (payloads: readonly string[]) => Promise<void> = async () => {}) {
  const sent: string[][] = [];
  const outbox = new Outbox('{"from":"me","messages":[', async (payloads) => {
    sent.push([...payloads]);
    await notify(payloads);
  });
  return {
    outbox,
    sent,
    entries: () => sent.map((payloads) => payloads.flatMap((p) => JSON.parse(p).messages)),
  };
}

test('sends what comes in one turn together, equal entries once', async () => {
  const { outbox, entries } = createOutbox();
  await Promise.all(['1', '2', '1'].map((entry) => outbox.add(entry)));
  expect(entries()).toEqual([[1, 2]]);
});

test('each add resolves with its own send', async () => {
  const { outbox, sent } = createOutbox();
  await outbox.add('1');
  expect(sent).toHaveLength(1);
  await outbox.add('2');
  expect(sent).toHaveLength(2);
});

test('packs entries into as few payloads as hold them, none over the limit', async () => {
  const { outbox, sent, entries } = createOutbox();
  const long = JSON.stringify('ü'.repeat(1500));
  const longest = JSON.stringify('x'.repeat(MOST_ENTRY_BYTES - 2));
  const texts = [...Array.from({ length: 10 }, (_, i) => `${long.slice(0, -1)}${i}"`), longest];
  await Promise.all(texts.map((entry) => outbox.add(entry)));
  expect(entries()).toEqual([texts.map((entry) => JSON.parse(entry))]);
  expect(sent[0]!.every((payload) => Buffer.byteLength(payload) <= MOST_BYTES)).toBe(true);
  expect(sent[0]!).toHaveLength(6);
});

test('a send that fails rejects for those in it, and the next one goes', async () => {
  let fail = true;
  const { outbox } = createOutbox(async () => {
    if (fail) throw new Error('no database');
  });
  await expect(outbox.add('1')).rejects.toThrow('no database');
  fail = false;
  await expect(outbox.add('2')).resolves.toBeUndefined();
});

test('flush resolves when nothing waits any more', async () => {
  const { outbox, entries } = createOutbox();
  void outbox.add('1');
  await outbox.flush();
  void outbox.add('2');
  await outbox.flush();
  expect(entries()).toEqual([[1], [2]]);
});

test('the next send waits for the one before, and takes along what came meanwhile', async () => {
  const ends: (() => void)[] = [];
  const { outbox, entries } = createOutbox(() => new Promise((resolve) => ends.push(resolve)));
  const first = outbox.add('1');
  await vi.waitFor(() => expect(ends).toHaveLength(1));
  const second = outbox.add('2');
  // Timer: longer than the pause between two sends, so that only the send under way can hold the next one up.
  await new Promise((resolve) => setTimeout(resolve, 50));
  const third = outbox.add('3');
  expect(entries()).toEqual([[1]]);

  ends[0]!();
  await first;
  await vi.waitFor(() => expect(ends).toHaveLength(2));
  ends[1]!();
  await Promise.all([second, third]);
  expect(entries()).toEqual([[1], [2, 3]]);
});

test('a send that hangs does not hold up the next one for ever', async () => {
  const { outbox, entries } = createOutbox(() =>
    entries().length === 1 ? new Promise(() => {}) : Promise.resolve(),
  );
  void outbox.add('1');
  await vi.waitFor(() => expect(entries()).toHaveLength(1));
  await outbox.add('2');
  expect(entries()).toEqual([[1], [2]]);
});
