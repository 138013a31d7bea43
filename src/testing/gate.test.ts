import { expect, test } from 'vitest';
import { gate } from './gate.js';

test('a gate lets pass who waits and who comes later, with the value of its first opening', async () => {
  const bank = gate<string>();
  const passed: string[] = [];
  const waiting = bank.then((value) => passed.push(value));
  await Promise.resolve();
  expect(passed).toEqual([]);

  bank.open('yes');
  bank.open('no');

  await waiting;
  expect([...passed, await bank]).toEqual(['yes', 'yes']);
});
