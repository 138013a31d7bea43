import type { RunStatus, StepState, StepStatus } from 'pgflow-live';

/** How a status looks. A started step whose last attempt failed is being tried again. */
export type Look = RunStatus | StepStatus | 'retrying';

export function lookOf(step: StepState): Look {
  return step.status === 'started' && step.errorMessage !== null ? 'retrying' : step.status;
}

export function StatusBadge({ look }: { look: Look }) {
  return (
    <span className={`badge ${look}`}>
      <StatusIcon look={look} />
      {look}
    </span>
  );
}

const STROKES: Readonly<Record<Look, string>> = {
  created: '',
  started: 'M8 2.5a5.5 5.5 0 0 1 5.5 5.5',
  retrying: 'M8 2.5a5.5 5.5 0 0 1 5.5 5.5',
  completed: 'M4.6 8.4 7 10.8l4.6-5.4',
  failed: 'm5.4 5.4 5.2 5.2m0-5.2-5.2 5.2',
  skipped: 'M5 8h6',
  cancelled: 'M5 8h6',
};

export function StatusIcon({ look }: { look: Look }) {
  return (
    <svg className={`status-icon ${look}`} viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <circle cx="8" cy="8" r="5.5" />
      <path d={STROKES[look]} />
    </svg>
  );
}
