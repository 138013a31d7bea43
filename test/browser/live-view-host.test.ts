import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { html } from '../../examples/live-view/host/html.js';
import { serveView } from '../../examples/live-view/host/live-host.js';
import type { View, ViewSocket } from '../../examples/live-view/host/view.js';
import { ROOT } from '../../scripts/run-command.js';
import { launchChromium, openPage } from '../harness/chromium.js';
import { mounted } from './live-view-page.js';
import { clientFrame, openBareSocket } from './live-view-socket.js';

/** The live view's host by itself, with a view that has nothing to do with runs. */

let url: string;
let sockets: ViewSocket[];
/** What the view was called with, in order. */
let calls: string[];
let closed: (socket: ViewSocket) => void;

beforeEach(async () => {
  sockets = [];
  calls = [];
  const server = createServer();
  const host = serveView(server, listView());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  onTestFinished(() => {
    host.close();
    server.close();
  });
});

/** A list of what was said. `slow` takes until the next turn, so that its neighbours could overtake it. */
function listView(): View {
  return {
    title: 'List',
    mount(params, socket) {
      sockets.push(socket);
      socket.onClose(() => closed?.(socket));
      socket.assign({ lines: [params.first ?? 'nothing'] });
    },
    async handleEvent(name, { text = '' }, socket) {
      calls.push(`${name} begins`);
      if (name === 'slow') await new Promise((resolve) => setImmediate(resolve));
      if (name === 'wrong') throw new Error('The view is wrong');
      socket.assign({ lines: [...socket.assigns.lines, `${name} ${text}`] });
      socket.sendInfo(`${name} ends`);
    },
    handleInfo(message) {
      calls.push(String(message));
    },
    render: ({ lines }: { lines: string[] }) => html`<ul>${lines.map((line) => html`<li>${line}</li>`)}</ul>`,
  };
}

test('knows nothing of runs', () => {
  const folder = join(ROOT, 'examples/live-view/host');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.\w+$/.test(name),
  );
  expect(files.length).toBeGreaterThan(5);
  for (const name of files)
    expect(readFileSync(join(folder, name), 'utf8')).not.toMatch(/pgflow|LiveClient/i);
});

test('escapes every value', async () => {
  const hostile = `<img src=x onerror="throw 1">&'`;
  const { markup } = html`<p title="${hostile}">${[hostile, null, false, 0]}</p>`;
  const escaped = '&lt;img src=x onerror=&quot;throw 1&quot;&gt;&amp;&#39;';
  expect(markup).toBe(`<p title="${escaped}">${escaped}0</p>`);

  const served = await (await fetch(`${url}/?first=${encodeURIComponent(hostile)}`)).text();
  expect(served).toContain(`<li>${escaped}</li>`);
  expect(served).not.toContain('<img');
});

test('mounts once for the HTML and closes that mount, then over the WebSocket', async () => {
  const ended: ViewSocket[] = [];
  closed = (socket) => ended.push(socket);

  expect(await (await fetch(`${url}/?first=tea`)).text()).toContain('<li>tea</li>');
  expect(sockets.map(({ connected }) => connected)).toEqual([false]);
  expect(ended).toEqual(sockets);

  const bare = await openBareSocket(`${url}/?first=tea`);
  expect(await bare.text()).toBe('{"html":"<ul><li>tea</li></ul>"}');
  expect(sockets.map(({ connected }) => connected)).toEqual([false, true]);
});

test('handles one entry of the mailbox at a time, in order', async () => {
  const bare = await openBareSocket(url);
  await bare.text();

  bare.send('{"event":"slow","value":{"text":"a"}}');
  bare.send('{"event":"quick","value":{"text":"b"}}');
  let shown = await bare.text();
  while (!shown.includes('quick b')) shown = await bare.text();

  expect(shown).toContain('<li>slow a</li><li>quick b</li>');
  expect(calls).toEqual(['slow begins', 'quick begins', 'slow ends', 'quick ends']);
});

test('tells a view that asks after its page went', async () => {
  const bare = await openBareSocket(url);
  await bare.text();
  const gone = new Promise<ViewSocket>((resolve) => {
    closed = resolve;
  });
  bare.destroy();
  const socket = await gone;

  const told = vi.fn();
  socket.onClose(told);
  socket.assign({ lines: [] });

  expect(told).toHaveBeenCalledOnce();
  expect(socket.assigns.lines).toEqual(['nothing']);
});

test('a view that throws closes its page, and no other', async () => {
  const said = vi.spyOn(console, 'error').mockImplementation(() => {});
  onTestFinished(() => said.mockRestore());
  const [bad, good] = await Promise.all([openBareSocket(url), openBareSocket(url)]);
  await Promise.all([bad.text(), good.text()]);

  bad.send('{"event":"wrong"}');
  expect(await bad.closeCode).toBe(1011);
  good.send('{"event":"quick"}');

  expect(await good.text()).toContain('quick');
  expect(said).toHaveBeenCalledWith(new Error('The view is wrong'));
});

describe('what comes over a WebSocket', () => {
  test('a message in several frames, with a ping between, is one', async () => {
    const bare = await openBareSocket(url);
    await bare.text();

    bare.write(clientFrame('{"event":"quick",', { opcode: 1, isFinal: false }));
    bare.write(clientFrame('here?', { opcode: 9 }));
    bare.write(clientFrame('"value":{"text":"whole"}}', { opcode: 0 }));

    expect(await bare.pong()).toBe('here?');
    expect(await bare.text()).toContain('quick whole');
  });

  test.each([
    ['a frame without a mask', 1002, Buffer.from([0x81, 0x02, 0x7b, 0x7d])],
    ['an extension that nobody agreed on', 1002, clientFrame('{}', { opcode: 1 | 0x40 })],
    ['a continuation of nothing', 1002, clientFrame('{}', { opcode: 0 })],
    ['a control frame that is too long', 1002, clientFrame('x'.repeat(126), { opcode: 9 })],
    ['binary', 1003, clientFrame('{}', { opcode: 2 })],
    ['no UTF-8', 1007, clientFrame(Buffer.from([0xff]), { opcode: 1 })],
    ['a frame that is too long', 1009, clientFrame('x'.repeat(65_537), { opcode: 1 })],
    [
      'a message that is too long',
      1009,
      Buffer.concat([
        clientFrame('x'.repeat(65_000), { opcode: 1, isFinal: false }),
        clientFrame('x'.repeat(65_000), { opcode: 0 }),
      ]),
    ],
    ['no JSON', 1011, clientFrame('{', { opcode: 1 })],
    ['a goodbye', 1000, clientFrame(Buffer.from([0x03, 0xe9]), { opcode: 8 })],
  ])('%s closes it with %i', async (_name, code, bytes) => {
    const bare = await openBareSocket(url);
    await bare.text();

    bare.write(bytes);

    expect(await bare.closeCode).toBe(code);
  });

  test('another site may not open one', async () => {
    await expect(openBareSocket(url, { origin: 'https://elsewhere.example' })).rejects.toThrow('403');
    await (await openBareSocket(url, { origin: url })).text();
    expect(sockets).toHaveLength(1);
  });
});

describe('in a browser', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser?.close());

  test('a drawing of several megabytes arrives', async () => {
    await using tab = await openPage(browser, url);
    await mounted(tab.page);

    sockets.at(-1)!.assign({ lines: ['x'.repeat(3_000_000), 'the end'] });
    await tab.page.getByText('the end').waitFor();

    expect((await tab.page.locator('li').first().textContent())?.length).toBe(3_000_000);
  });
});
