import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createPgFlow, defineFlow } from 'pgflow-live';
import { createHandler } from 'pgflow-live/http';
import { toNodeListener } from 'pgflow-live/node';
import { build, type Rolldown } from 'vite';
import { expect, onTestFinished, test } from 'vitest';
import { markStatements, programsOf } from '../../scripts/page-programs.js';
import { ROOT } from '../../scripts/run-command.js';
import { launchChromium, openPage } from '../harness/chromium.js';

const FOLDER = join(ROOT, '.tmp/docs-browser');
const PATIENCE = 120_000;

test(
  'README.md: order.tsx shows a refusal, then starts a run and shows each step to its end',
  async () => {
    const { programs } = programsOf('README.md', readFileSync(join(ROOT, 'README.md'), 'utf8'));
    const program = programs.find(({ file }) => file === 'order.tsx')!;
    const marked = markStatements(program, '(globalThis.ranPlaces ??= []).push');
    const script = await bundle(marked.code);

    const processOrder = defineFlow<{ orderId: string }>({ slug: 'process_order' })
      .step('validate', ({ input }) => input.orderId)
      .step('confirm', { dependsOn: ['validate'] }, ({ deps }) => `Order ${deps.validate} is confirmed`);
    const pgflow = await createPgFlow({ database: 'memory:', flows: [processOrder] });
    onTestFinished(() => pgflow.stop());
    await pgflow.start();

    let mayStart = false;
    const authorize = (_request: Request, { action }: { action: string }) => action !== 'start' || mayStart;
    const url = await serve(script, createHandler({ pgflow, authorize }));
    const browser = await launchChromium();
    onTestFinished(() => browser.close());
    await using tab = await openPage(browser, url);
    const button = tab.page.getByRole('button', { name: 'Process order' });

    await button.click();
    await tab.page.getByRole('alert').getByText('You may not do this.').waitFor();
    mayStart = true;
    await button.click();
    await tab.page.getByText('validate: completed').waitFor();
    await tab.page.getByText('confirm: completed').waitFor();
    await tab.page.getByText('Order 123 is confirmed').waitFor();

    expect(await tab.page.getByRole('alert').count()).toBe(0);
    const ran = new Set(await tab.page.evaluate<string[]>('globalThis.ranPlaces'));
    expect([...marked.places].filter((place) => !ran.has(place))).toEqual([]);
  },
  PATIENCE,
);

async function bundle(code: string): Promise<string> {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(
    join(FOLDER, 'tsconfig.json'),
    JSON.stringify({ extends: '../../tsconfig.json', include: ['.'] }),
  );
  writeFileSync(join(FOLDER, 'order.tsx'), code);
  writeFileSync(
    join(FOLDER, 'main.tsx'),
    `import { createRoot } from 'react-dom/client';
     import { App } from './order.jsx';
     createRoot(document.querySelector('main')!).render(<App />);`,
  );
  const built = await build({
    configFile: false,
    root: FOLDER,
    logLevel: 'error',
    resolve: { tsconfigPaths: true },
    build: { write: false, rolldownOptions: { input: join(FOLDER, 'main.tsx') } },
  });
  return (built as Rolldown.RolldownOutput).output[0].code;
}

/** Serves the page, and the handler below `/pgflow`. */
async function serve(script: string, handler: (request: Request) => Promise<Response>): Promise<string> {
  const page = new Map([
    [
      '/',
      [
        'text/html',
        '<!doctype html><link rel="icon" href="data:,"><main></main><script type="module" src="/main.js"></script>',
      ],
    ],
    ['/main.js', ['text/javascript', script]],
  ]);
  const listener = toNodeListener(async (request) => {
    const [type, body] = page.get(new URL(request.url).pathname) ?? [];
    return body === undefined ? handler(request) : new Response(body, { headers: { 'content-type': type! } });
  });
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}
