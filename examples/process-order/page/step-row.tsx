import type { StepState } from 'pgflow-live';
import { memo } from 'react';
import type { StepOutline } from '../server.js';
import { countOf, formatTime } from './format.js';
import { JsonDetails } from './json-details.js';
import { Duration } from './run-facts.js';
import { lookOf, StatusBadge } from './status.js';

interface StepRowProps {
  readonly step: StepState;
  readonly outline: StepOutline | undefined;
  readonly note: string;
}

/** One step. A change to another step leaves its state the same object, so it is not drawn again. */
export const StepRow = memo(function StepRow({ step, outline, note }: StepRowProps) {
  const look = lookOf(step);
  return (
    <li className={`card step ${look}`} data-step={step.stepSlug} data-status={step.status}>
      <div className="step-head">
        <h3>{step.stepSlug}</h3>
        {outline?.kind === 'map' && <span className="kind">map</span>}
        <StatusBadge look={look} />
        <Duration of={step} />
      </div>
      {note && <p className="facts-line">{note}</p>}
      {step.attempt > 0 && <Attempts step={step} outline={outline} />}
      {outline?.kind === 'map' && step.initialTasks !== null && <Tasks step={step} />}
      {step.errorMessage !== null && <StepError step={step} />}
      {step.status === 'completed' && <JsonDetails title="Output" value={step.output} />}
    </li>
  );
});

function Attempts({ step, outline }: Pick<StepRowProps, 'step' | 'outline'>) {
  const end = step.completedAt ?? step.failedAt ?? step.cancelledAt;
  return (
    <p className="facts-line">
      <span className="attempt">
        attempt {step.attempt}
        {outline && ` of ${outline.maxAttempts}`}
      </span>
      {step.startedAt && (
        <>
          {' · '}
          <Time of={step.startedAt} />
          {end && ' – '}
          {end && <Time of={end} />}
        </>
      )}
    </p>
  );
}

function Time({ of }: { of: Date }) {
  return <time dateTime={of.toISOString()}>{formatTime(of)}</time>;
}

function Tasks({ step }: { step: StepState }) {
  const all = step.initialTasks ?? 0;
  const done = all - (step.remainingTasks ?? all);
  const id = `tasks-${step.stepSlug}`;
  return (
    <div className="tasks">
      <progress aria-labelledby={id} value={all === 0 ? 1 : done} max={all || 1} />
      <span id={id} className="figure">
        {done} of {countOf(all, 'task')} done
      </span>
    </div>
  );
}

/** Open, for it is what one looks for; of a step that is tried again, the last one. */
function StepError({ step }: { step: StepState }) {
  return (
    <details className="step-error" open>
      <summary>{step.status === 'started' ? 'Last error, trying again' : 'Error'}</summary>
      <p className="wraps">{step.errorMessage}</p>
    </details>
  );
}
