import type { Run } from 'pgflow-live';
import { createClient } from 'pgflow-live/client';
import type { Locator, Page } from 'playwright-core';

/** What a run's page says of one step. */
export interface ShownStep {
  readonly step: string;
  readonly status: string;
  readonly attempt: number;
  /** Of a map, once it is known. */
  readonly tasks: { readonly done: number; readonly all: number } | null;
  readonly output: unknown;
  readonly error: string | null;
}

export const startButton = (page: Page, title: string): Locator =>
  page.getByRole('button', { name: `Start ${title}` });

export const stepRow = (page: Page | Locator, slug: string, status?: string): Locator =>
  page.locator(`[data-step="${slug}"]${status ? `[data-status="${status}"]` : ''}`);

/** Resolves when the run has ended and the page shows it. */
export const finished = (page: Page): Promise<void> =>
  page.locator('.freshness', { hasText: 'Finished' }).waitFor();

export const runIdOf = (page: Page): string => new URL(page.url()).pathname.split('/')[2]!;

/** What the page, or a part of it, shows now, in the order of its rows. */
export function shownSteps(page: Page | Locator): Promise<ShownStep[]> {
  return page.locator('[data-step]').evaluateAll((rows) =>
    rows.map((row) => {
      const numbers = (text: string | null | undefined) => text?.match(/\d+/g)?.map(Number);
      const [done, all] = numbers(row.querySelector('.tasks')?.textContent) ?? [];
      const output = row.querySelector('pre')?.textContent;
      return {
        step: row.getAttribute('data-step')!,
        status: row.getAttribute('data-status')!,
        attempt: numbers(row.querySelector('.attempt')?.textContent)?.[0] ?? 0,
        tasks: done === undefined || all === undefined ? null : { done, all },
        output: output ? JSON.parse(output) : null,
        error: row.querySelector('.step-error p')?.textContent ?? null,
      };
    }),
  );
}

/** The same of a run as the server has it. */
export function stepsOf(run: Run): ShownStep[] {
  return run.stepStates.map((step) => ({
    step: step.stepSlug,
    status: step.status,
    attempt: step.attempt,
    tasks:
      step.stepSlug === 'pack' && step.initialTasks !== null
        ? { done: step.initialTasks - step.remainingTasks!, all: step.initialTasks }
        : null,
    output: step.output,
    error: step.errorMessage,
  }));
}

export async function runOnServer(url: string, runId: string): Promise<Run> {
  const run = await createClient({ url: `${url}/pgflow` }).getRun(runId);
  if (!run) throw new Error(`The server has no run ${runId}`);
  return run;
}

export async function runsOnServer(url: string): Promise<readonly Run[]> {
  return (await createClient({ url: `${url}/pgflow` }).listRuns()).runs;
}

/** A step at one moment: its status, and numbers that only grow. */
export type Moment = Readonly<Record<string, { status: string; attempt: number; done: number }>>;

/** Every state that the page shows from now on. It is kept in the page, so a reload would lose it. */
export async function recordSteps(page: Page): Promise<() => Promise<Moment[]>> {
  await page.evaluate(() => {
    const seen: unknown[] = [];
    const look = () => {
      const rows = [...document.querySelectorAll<HTMLElement>('[data-step]')].map((row) => {
        const attempt = Number(row.querySelector('.attempt')?.textContent?.match(/\d+/)?.[0] ?? 0);
        const done = row.querySelector('progress')?.value ?? 0;
        return [row.dataset.step, { status: row.dataset.status, attempt, done }];
      });
      const moment = Object.fromEntries(rows);
      if (rows.length > 0 && JSON.stringify(seen.at(-1)) !== JSON.stringify(moment)) seen.push(moment);
    };
    const all = { subtree: true, childList: true, attributes: true, characterData: true };
    new MutationObserver(look).observe(document, all);
    look();
    Object.assign(globalThis, { seenSteps: seen });
  });
  return () => page.evaluate('seenSteps');
}

const RANKS = ['created', 'started', 'completed'];

/** Whether no step ever went back. */
export function onlyAdvances(moments: readonly Moment[]): boolean {
  return moments.every((moment, index) => {
    const before = moments[index - 1];
    return Object.keys(moment).every((step) => !before?.[step] || isAfter(before[step], moment[step]!));
  });
}

function isAfter(before: Moment[string], now: Moment[string]): boolean {
  const [from, to] = [RANKS.indexOf(before.status), RANKS.indexOf(now.status)];
  return from >= 0 && from <= to && before.attempt <= now.attempt && before.done <= now.done;
}
