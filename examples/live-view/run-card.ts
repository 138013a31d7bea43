import type { Run, StepState } from 'pgflow-live';
import { processOrder } from './flows.js';
import { type Html, html } from './host/html.js';

/** One run: its status, its steps in the flow's order, and how it ended. */
export function renderRun(run: Run, key: string): Html {
  return html`
    <article class="run" data-key="${run.runId}" data-run="${run.runId}" data-status="${run.status}">
      <header class="run-head">
        <h3>Status</h3>
        ${renderBadge(run.status)}
        <button type="button" live-click="clear" data-key="${key}">Clear</button>
      </header>
      <p class="facts-line" role="status">
        ${run.stepStates.length - run.remainingSteps} of ${run.stepStates.length} steps done. Run <code>${run.runId}</code>
      </p>
      <div class="run-error">${run.error && renderFailure(run.error)}</div>
      <ol class="cards steps">${run.stepStates.map((step) => renderStep(step, run))}</ol>
    </article>`;
}

function renderFailure({ stepSlug, message }: NonNullable<Run['error']>): Html {
  return html`
    <p class="note bad"><strong>Failed in ${stepSlug}.</strong> <span class="wraps">${message}</span></p>`;
}

const MAPS = new Set(processOrder.steps.filter(({ kind }) => kind === 'map').map(({ slug }) => slug));

function renderStep(step: StepState, run: Run): Html {
  const isRetrying = step.status === 'started' && step.errorMessage !== null;
  const look = isRetrying ? 'retrying' : step.status;
  const isMap = run.flowSlug === processOrder.slug && MAPS.has(step.stepSlug);
  return html`
    <li class="card step ${look}" data-step="${step.stepSlug}" data-status="${step.status}">
      <div class="step-head">
        <h4>${step.stepSlug}</h4>
        ${renderBadge(look)}
        <span class="figure attempt">${step.attempt > 0 && `attempt ${step.attempt}`}</span>
      </div>
      ${isMap && step.initialTasks !== null && renderTasks(step)}
      ${step.errorMessage !== null && renderError(step)}
      ${step.status === 'completed' && renderOutput(step.output)}
    </li>`;
}

function renderTasks({ stepSlug, initialTasks, remainingTasks }: StepState): Html {
  const all = initialTasks ?? 0;
  const done = all - (remainingTasks ?? all);
  return html`
    <div class="tasks">
      <progress aria-label="Tasks of ${stepSlug}" value="${done || Number(all === 0)}" max="${all || 1}"></progress>
      <span class="figure">${done} of ${all} tasks done</span>
    </div>`;
}

function renderError({ status, errorMessage }: StepState): Html {
  return html`
    <details class="step-error" data-key="error" open>
      <summary>${status === 'started' ? 'Last error, trying again' : 'Error'}</summary>
      <p class="wraps">${errorMessage}</p>
    </details>`;
}

function renderOutput(output: unknown): Html {
  return html`
    <details class="json" data-key="output">
      <summary>Output</summary>
      <pre tabindex="0">${JSON.stringify(output, null, 2)}</pre>
    </details>`;
}

const STROKES: Readonly<Record<string, string>> = {
  started: 'M8 2.5a5.5 5.5 0 0 1 5.5 5.5',
  retrying: 'M8 2.5a5.5 5.5 0 0 1 5.5 5.5',
  completed: 'M4.6 8.4 7 10.8l4.6-5.4',
  failed: 'm5.4 5.4 5.2 5.2m0-5.2-5.2 5.2',
  skipped: 'M5 8h6',
  cancelled: 'M5 8h6',
};

/** A status as the style sheet of the other example draws it. */
function renderBadge(look: string): Html {
  return html`<span class="badge ${look}"><svg class="status-icon ${look}" viewBox="0 0 16 16" width="16" height="16"
    aria-hidden="true"><circle cx="8" cy="8" r="5.5"/><path d="${STROKES[look] ?? ''}"/></svg>${look}</span>`;
}
