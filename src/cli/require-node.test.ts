import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { refusalOf } from './require-node.js';

const { engines } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  engines: { node: string };
};
const wanted = engines.node.replace('>=', '');

test('takes what package.json asks for, and newer ones', () => {
  expect([wanted, '20.20.0', '22.0.0', '100.1.2'].map(refusalOf)).toEqual([null, null, null, null]);
});

test('says which version it needs and which this is', () => {
  for (const version of ['20.18.9', '18.20.4', '9.0.0']) {
    expect(refusalOf(version)).toContain(`needs Node.js ${wanted} or newer; this is ${version}.`);
  }
});
