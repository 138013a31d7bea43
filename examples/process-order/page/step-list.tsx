import type { Run } from 'pgflow-live';
import type { StepOutline } from '../server.js';
import { StepRow } from './step-row.js';

/** The steps in the flow's order, each as a row. */
export function StepList({ run, steps }: { run: Run; steps: readonly StepOutline[] }) {
  return (
    <ol className="cards steps">
      {run.stepStates.map((step) => {
        const outline = steps.find(({ slug }) => slug === step.stepSlug);
        const note = step.status === 'created' ? waitingNote(run, outline) : '';
        return <StepRow key={step.stepSlug} step={step} outline={outline} note={note} />;
      })}
    </ol>
  );
}

/** Why a step has not begun. */
function waitingNote(run: Run, outline: StepOutline | undefined): string {
  if (run.status !== 'started') return 'Not reached.';
  const missing = outline?.parents.filter((slug) => {
    const status = run.step(slug)?.status;
    return status === 'created' || status === 'started';
  });
  if (!missing) return '';
  return missing.length > 0 ? `Waits for ${missing.join(' and ')}.` : 'Waits for a worker.';
}
