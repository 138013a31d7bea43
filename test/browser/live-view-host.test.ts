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
import { openSocket } from './live-view-socket.js';

/** The live view's host by itself, with a view that has nothing to do with runs. */

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

let url: string;
let sockets: ViewSocket[];
/** What the view was called with, in order. */
let calls: string[];
let closed: (socket: ViewSocket) => void;

beforeEach(async () => {
  sockets = [];
  calls = [];
  closed = () => {};
  const server = createServer();
  const closePages = serveView(server, listView());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  onTestFinished(async () => {
    closePages();
    await once(server.close(), 'close');
  });
});

/** A list of what was said. `slow` takes until the next turn, so that its neighbours could overtake it. */
function listView(): View {
  return {
    title: 'List',
    mount(params, socket) {
      sockets.push(socket);
      socket.onClose(() => closed(socket));
      socket.assign({ lines: [params.first ?? 'nothing'] });
    },
    async handleEvent(name, { text = '' }, socket) {
      calls.push(`${name} begins`);
      if (name === 'slow') await nextTurn();
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

  const socket = await openSocket(`${url}/?first=tea`);
  expect(await socket.text()).toBe('{"html":"<ul><li>tea</li></ul>"}');
  expect(sockets.map(({ connected }) => connected)).toEqual([false, true]);
});

test('handles one entry of the mailbox at a time, in order', async () => {
  const socket = await openSocket(url);
  await socket.text();

  socket.send('{"event":"slow","value":{"text":"a"}}');
  socket.send('{"event":"quick","value":{"text":"b"}}');
  let shown = await socket.text();
  while (!shown.includes('quick b')) shown = await socket.text();

  expect(shown).toContain('<li>slow a</li><li>quick b</li>');
  expect(calls).toEqual(['slow begins', 'quick begins', 'slow ends', 'quick ends']);
});

test('tells a view that asks after its page went', async () => {
  const socket = await openSocket(url);
  await socket.text();
  const gone = new Promise<ViewSocket>((resolve) => {
    closed = resolve;
  });
  socket.terminate();
  const page = await gone;

  const told = vi.fn();
  page.onClose(told);
  page.assign({ lines: [] });

  expect(told).toHaveBeenCalledOnce();
  expect(page.assigns.lines).toEqual(['nothing']);
});

test('a view that throws closes its page, and no other', async () => {
  const said = vi.spyOn(console, 'error').mockImplementation(() => {});
  onTestFinished(() => said.mockRestore());
  const [bad, good] = await Promise.all([openSocket(url), openSocket(url)]);
  await Promise.all([bad.text(), good.text()]);

  bad.send('{"event":"wrong"}');
  expect(await bad.closeCode).toBe(1011);
  good.send('{"event":"quick"}');

  expect(await good.text()).toContain('quick');
  expect(said).toHaveBeenCalledWith(new Error('The view is wrong'));
});

test('a page that reads slowly gets the newest drawing, not each', async () => {
  const socket = await openSocket(url);
  await socket.text();
  socket.pause();

  const long = 'x'.repeat(1_000_000);
  for (let count = 1; count <= 50; count++) {
    sockets[0]!.assign({ lines: [long, `drawing ${count}`] });
    // Long enough to draw it.
    for (let turn = 0; turn < 5; turn++) await nextTurn();
  }
  socket.resume();
  let drawings = 0;
  let shown = '';
  for (; !shown.includes('drawing 50'); drawings++) shown = await socket.text();

  expect(drawings).toBeLessThan(40);
});

describe('what comes over a WebSocket', () => {
  test.each([
    ['a message that is too long', 1009, JSON.stringify({ event: 'x'.repeat(65_536) })],
    ['no JSON', 1007, '{'],
    ['no event', 1007, 'null'],
  ])('%s closes it with %i', async (_name, code, text) => {
    const socket = await openSocket(url);
    await socket.text();
    const gone = new Promise((resolve) => {
      closed = resolve;
    });

    socket.send(text);

    expect(await socket.closeCode).toBe(code);
    expect((await gone) === sockets[0]).toBe(true);
    expect(calls).toEqual([]);
  });

  test('another site may not open one', async () => {
    await expect(openSocket(url, { origin: 'https://elsewhere.example' })).rejects.toThrow('403');
    await (await openSocket(url, { origin: url })).text();
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
