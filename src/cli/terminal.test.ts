import { PassThrough } from 'node:stream';
import { WriteStream } from 'node:tty';
import { expect, onTestFinished, test, vi } from 'vitest';
import { paint, printable, printableJson } from './terminal.js';

const terminal = Object.assign(new PassThrough(), {
  isTTY: true,
  getColorDepth: WriteStream.prototype.getColorDepth,
});
const file = new PassThrough();

test('escapes what a terminal would obey, and keeps the rest', () => {
  expect(printable('a\u001b[31mred\u0007\r\nb')).toBe('a\\u001b[31mred\\u0007\\u000d\\u000ab');
  expect(printable('\u009b2J \u202etxt.exe \u2028')).toBe('\\u009b2J \\u202etxt.exe \\u2028');
  expect(printable('Zürich → 東京 👍')).toBe('Zürich → 東京 👍');
});

test('JSON is escaped and still means the same', () => {
  const value = { message: 'a\u001b[2J\u009b1m\u202e\n"quoted"' };
  const json = printableJson(value);
  expect(json).toBe(printable(json));
  expect(JSON.parse(json)).toEqual(value);
});

test('colours go to terminals only, and not against NO_COLOR', () => {
  onTestFinished(() => void vi.unstubAllEnvs());
  for (const name of ['NO_COLOR', 'NODE_DISABLE_COLORS', 'FORCE_COLOR', 'CI']) vi.stubEnv(name, undefined);
  vi.stubEnv('TERM', 'xterm-256color');
  expect(paint('red', 'no', terminal)).toBe('\u001b[31mno\u001b[39m');
  expect(paint('red', 'no', file)).toBe('no');
  vi.stubEnv('NO_COLOR', '1');
  expect(paint('red', 'no', terminal)).toBe('no');
});
