import { expect, onTestFinished, test } from 'vitest';
import { startChild } from './child.js';
import { isAlive } from './leftovers.js';

const TALKER = 'test/harness/fixtures/talker.ts';

test('waits for lines in order, and takes arguments, environment and stdin', async () => {
  await using child = startChild(TALKER, { args: ['hello'], env: { TALKER: 'world' } });

  const [, pid, rest] = await child.waitForLine(/^pid (\d+) (.*)/);
  expect(Number(pid)).toBe(child.pid);
  expect(rest).toBe('hello world');

  child.writeLine('one');
  child.writeLine('two');
  expect((await child.waitForLine(/^heard (.*)/))[1]).toBe('one');
  expect((await child.waitForLine(/^heard (.*)/))[1]).toBe('two');
});

test('says what the child said when the line never comes', async () => {
  await using child = startChild(TALKER);
  const waiting = child.waitForLine(/^never/);
  child.writeLine('fail');
  await expect(waiting).rejects.toThrow(/without a line like .*never[\s\S]*about to fail/);
  expect(await child.exited).toEqual({ code: 3, signal: null });
});

test('kills by signal', async () => {
  await using child = startChild(TALKER);
  await child.waitForLine(/^pid/);
  child.kill('SIGKILL');
  expect(await child.exited).toEqual({ code: null, signal: 'SIGKILL' });
});

test('close reaps a child that is stopped', async () => {
  const child = startChild(TALKER);
  await child.waitForLine(/^pid/);
  child.kill('SIGSTOP');
  await child.close();
  expect(isAlive(child.pid)).toBe(false);
});

test('children do not outlive a parent that is killed', async () => {
  await using parent = startChild('test/harness/fixtures/parent.ts');
  const [, grandchild] = await parent.waitForLine(/^grandchild (\d+)/);
  const pid = Number(grandchild);
  onTestFinished(() => void (isAlive(pid) && process.kill(pid, 'SIGKILL')));
  expect(isAlive(pid)).toBe(true);

  parent.kill('SIGKILL');
  await parent.exited;

  await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
});
