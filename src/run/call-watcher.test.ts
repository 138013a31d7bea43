import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { callWatcher } from './call-watcher.js';

const reported = vi.fn();

beforeEach(() => void vi.stubGlobal('reportError', reported));

afterEach(() => {
  vi.unstubAllGlobals();
  reported.mockClear();
});

test('what a watcher throws is reported and goes no further', () => {
  const thrown = new Error('thrown');
  callWatcher(() => {
    throw thrown;
  });
  expect(reported.mock.calls).toEqual([[thrown]]);
});

test('what an async watcher throws is reported too: nobody else would hear of it, and the process would end', async () => {
  const thrown = new Error('later');
  callWatcher(async (after: Promise<void>) => {
    await after;
    throw thrown;
  }, Promise.resolve());
  await vi.waitFor(() => expect(reported.mock.calls).toEqual([[thrown]]));
});

test('a watcher gets what it is called with', () => {
  const watcher = vi.fn();
  callWatcher(watcher, 1, 'two');
  expect(watcher.mock.calls).toEqual([[1, 'two']]);
  expect(reported).not.toHaveBeenCalled();
});
