import { describe, expect, it, vi } from 'vitest';
import { PgFlowError } from '../errors.js';
import { ScriptedRun } from '../run/scripted-run.test-support.js';
import { openLiveRun } from './live-run-handle.js';
import { SharedRun } from './shared-run.js';

const gone = new PgFlowError('RUN_NOT_FOUND', 'gone');

function open() {
  const rows = new ScriptedRun(['a']);
  const shared = SharedRun.from(rows.change(0))!;
  return { rows, shared, live: openLiveRun(shared, { verify: vi.fn(), release: vi.fn() }) };
}

describe('a run that ended, and was deleted or closed before the next question', () => {
  it('is given as it ended, once', async () => {
    const { rows, shared, live } = open();
    const seen: string[] = [];
    for await (const { status } of live) {
      seen.push(status);
      shared.apply(rows.finish('a'));
      shared.end(gone);
    }
    expect(seen).toEqual(['started', 'completed']);
  });

  it('is given by iterators that are made later, too', async () => {
    const { rows, shared, live } = open();
    shared.apply(rows.finish('a'));
    live.close();
    const seen: string[] = [];
    for await (const { status } of live) seen.push(status);
    expect(seen).toEqual(['completed']);
  });
});

it('a run that had not ended is not given again', async () => {
  const { rows, shared, live } = open();
  const seen: number[] = [];
  for await (const { seq } of live) {
    seen.push(seq);
    shared.apply(rows.begin('a'));
    shared.end(gone);
  }
  expect(seen).toEqual([1]);
});
