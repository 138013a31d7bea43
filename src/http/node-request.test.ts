import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { readNodeRequest } from './node-request.js';

it('reads no more of a body than is asked for', async () => {
  let given = 0;
  function* chunks() {
    while (given++ < 200) yield Buffer.alloc(64 * 1024);
  }
  const req = Object.assign(Readable.from(chunks(), { objectMode: false }), {
    method: 'POST',
    url: '/',
    headers: { host: 'a.test' },
    rawHeaders: ['host', 'a.test'],
    socket: {},
  });
  const request = readNodeRequest(req as unknown as IncomingMessage, new AbortController().signal)!;
  const reader = request.body!.getReader();
  for (let i = 0; i < 3; i++) expect((await reader.read()).value!.byteLength).toBe(64 * 1024);
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
  expect(given).toBeLessThan(10);
  await reader.cancel();
  req.destroy();
});
