import { expect, it, vi } from 'vitest';
import { ScriptedRun } from '../run/scripted-run.test-support.js';
import { openLiveRun } from './live-run-handle.js';
import { SharedRun } from './shared-run.js';
import { type WaitOptions, waitForStatus } from './wait-for.js';

function open() {
  const rows = new ScriptedRun(['a']);
  const shared = SharedRun.from(rows.change(0))!;
  const feed = { verify: vi.fn(), release: vi.fn() };
  return { rows, shared, live: openLiveRun(shared, feed) as never as Parameters<typeof waitForStatus>[0] };
}

it.each([
  ['the controller in place of its signal', new AbortController()],
  ['a text', 'stop'],
  ['true', true],
])('refuses what is no signal, and listens to nothing: %s', async (_, signal) => {
  const { live } = open();
  const subscribed = vi.spyOn(live, 'subscribe');
  await expect(
    waitForStatus(live, 'completed', { signal: signal as unknown as AbortSignal }),
  ).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    data: { issues: [{ path: 'signal', message: expect.stringContaining('controller.signal') }] },
  });
  expect(subscribed).not.toHaveBeenCalled();
});

it.each([null, { signal: null, timeout: null }])('takes null for nothing given: %j', async (options) => {
  const { rows, shared, live } = open();
  const waiting = waitForStatus(live, 'completed', options as unknown as WaitOptions);
  shared.apply(rows.finish('a'));
  expect((await waiting).status).toBe('completed');
});
