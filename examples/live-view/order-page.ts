import type { Run } from 'pgflow-live';
import { orders } from '../process-order/orders.js';
import type { processOrder, sendEmail } from './flows.js';
import { type Html, html } from './host/html.js';
import { renderRun } from './run-card.js';

export type Key = 'order' | 'email';

export interface Assigns {
  readonly order: Run<typeof processOrder> | null;
  readonly email: Run<typeof sendEmail> | null;
  /** What was wrong with the last thing that was asked for. */
  readonly problems: Partial<Record<Key, string>>;
  /** What the next run of each key will be called: a form that comes twice starts one. */
  readonly nextIds: Record<Key, string>;
}

/** What the part of a key says. */
interface KeyTexts {
  readonly title: string;
  readonly empty: string;
  /** The event of its form. */
  readonly event: string;
  readonly field: { readonly name: string; readonly label: string; readonly value: string };
  readonly button: string;
  readonly hint: string;
}

const ORDER: KeyTexts = {
  title: 'Order',
  empty: 'No order yet. Its steps appear here.',
  event: 'process',
  field: { name: 'orderId', label: 'Order id', value: 'breakfast' },
  button: 'Process order',
  hint: `One of ${[...orders.keys()].join(', ')}.`,
};

const EMAIL: KeyTexts = {
  title: 'Email',
  empty: 'No email yet. Its one step appears here.',
  event: 'send',
  field: { name: 'to', label: 'Address', value: 'ada@example.com' },
  button: 'Send email',
  hint: 'A job: a flow of one step. Its first attempt is turned away.',
};

/** The whole page, of its assigns and nothing else. */
export function renderPage(assigns: Assigns): Html {
  return html`
    <header class="bar">
      <a class="brand" href="/">PgFlow Live</a>
      <span class="bar-note">Example: a live view on a server</span>
    </header>
    <main>
      <h1>An order and an email</h1>
      <p class="lead">Two runs under two keys of one socket. Reload, open a second tab, kill the server: they go on.</p>
      <div class="columns">
        ${renderKey('order', ORDER, assigns)}
        ${renderKey('email', EMAIL, assigns)}
      </div>
    </main>`;
}

function renderKey(key: Key, texts: KeyTexts, assigns: Assigns): Html {
  const run: Run | null = assigns[key];
  return html`
    <section class="key" data-key="${key}" aria-labelledby="${key}-title">
      <h2 class="section-title" id="${key}-title">${texts.title}</h2>
      <div class="card">${renderForm(key, texts, assigns)}</div>
      ${run ? renderRun(run, key) : html`<p class="note empty">${texts.empty}</p>`}
    </section>`;
}

/** What was wrong is said beside the field, in an element that is there before, so that it is read out. */
function renderForm(
  key: Key,
  { event, field, button, hint }: KeyTexts,
  { problems, nextIds }: Assigns,
): Html {
  const problem = problems[key];
  return html`
    <form class="other" live-submit="${event}">
      <label for="${key}-field">${field.label}</label>
      <div class="other-fields">
        <input id="${key}-field" name="${field.name}" value="${field.value}" autocomplete="off" autocapitalize="none"
          spellcheck="false" aria-invalid="${String(problem !== undefined)}" aria-describedby="${key}-problem">
        <input type="hidden" name="runId" value="${nextIds[key]}">
        <button type="submit" class="primary">${button}</button>
      </div>
      <p class="error-message" role="alert" id="${key}-problem">${problem}</p>
      <p class="facts-line">${hint}</p>
    </form>`;
}
