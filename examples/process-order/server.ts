import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { PgFlow } from 'pgflow-live';
import { createHandler } from 'pgflow-live/http';
import { toNodeListener } from 'pgflow-live/node';
import { processOrder } from './flow.js';
import { orders, summaryOf } from './orders.js';
import type { Page, PageFile } from './page-build.js';

/** A step as the page draws it: what a run does not say of itself. */
export interface StepOutline {
  readonly slug: string;
  readonly kind: 'single' | 'map';
  readonly parents: readonly string[];
  readonly maxAttempts: number;
}

/**
 * What the server answers: runs under `/pgflow`, the orders and the flow's outline under `/api`, and the page
 * everywhere else that the page has an address for.
 */
export function createListener(pgflow: PgFlow, page: Page): RequestListener {
  // It listens on 127.0.0.1 for whoever sits at this machine. A real server asks who is calling.
  const runs = toNodeListener(createHandler({ pgflow, authorize: () => true }));
  const answers: ReadonlyMap<string, PageFile> = new Map([
    ...page,
    ['/', page.get('/index.html')!],
    ['/api/orders', json([...orders.values()].map(summaryOf))],
    ['/api/steps', json(outline())],
  ]);
  return (request, response) => {
    const path = request.url!.split('?', 1)[0]!;
    if (path.startsWith('/pgflow/')) return void runs(request, response);
    const file = answers.get(path.startsWith('/runs/') ? '/' : path);
    if (!file) return send(request, response, 404, json({ error: 'There is nothing here.' }));
    send(request, response, 200, file);
  };
}

function outline(): StepOutline[] {
  return processOrder.steps.map(({ slug, kind, dependsOn, over, options }) => ({
    slug,
    kind,
    parents: [...new Set(over === null ? dependsOn : [over, ...dependsOn])],
    maxAttempts: options.maxAttempts,
  }));
}

function json(value: unknown): PageFile {
  return { body: JSON.stringify(value), type: 'application/json; charset=utf-8' };
}

const HEADERS = {
  'cache-control': 'no-cache',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

function send(request: IncomingMessage, response: ServerResponse, status: number, file: PageFile): void {
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  response.writeHead(isRead ? status : 405, { ...HEADERS, 'content-type': file.type });
  response.end(isRead ? file.body : undefined);
}
