import { expect, test } from 'vitest';
import { ensureProgram } from './apt.js';

const NOWHERE = ['/nowhere/program'];

test('a program that is there is not installed', () => {
  const found = ensureProgram('node', [...NOWHERE, process.execPath], () => {
    throw new Error('installed');
  });
  expect(found).toEqual({ path: process.execPath });
});

test('one that is not there is installed, or it is said why it cannot be had', () => {
  const places: string[] = [];
  const install = () => {
    places.push(process.execPath);
    return null;
  };
  expect(ensureProgram('node', places, install)).toEqual({ path: process.execPath });
  expect(ensureProgram('node', NOWHERE, () => 'the network is down')).toEqual({
    missing: 'There is no node here, and the network is down.',
  });
});
