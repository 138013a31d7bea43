import type { Run } from 'pgflow-live';
import type { ReactNode } from 'react';
import { formatDuration, formatTime, useElapsed } from './format.js';

export function RunFacts({ run }: { run: Run }) {
  const { length } = run.stepStates;
  return (
    <dl className="facts">
      <Fact name="Flow">
        {run.flowSlug} v{run.version}
      </Fact>
      <Fact name="Started">
        <time dateTime={run.startedAt.toISOString()}>{formatTime(run.startedAt)}</time>
      </Fact>
      <Fact name="Duration">
        <Duration of={run} />
      </Fact>
      <Fact name="Steps done">
        {length - run.remainingSteps} of {length}
      </Fact>
      <Fact name="Changes">{run.seq}</Fact>
      <Fact name="Run id" wide>
        <code>{run.runId}</code>
      </Fact>
    </dl>
  );
}

function Fact({ name, wide, children }: { name: string; wide?: boolean; children: ReactNode }) {
  return (
    <div className={wide ? 'fact wide' : 'fact'}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

interface Timed {
  readonly startedAt: Date | null;
  readonly completedAt: Date | null;
  readonly failedAt: Date | null;
  readonly cancelledAt: Date | null;
}

/** How long a run or step took, or has taken so far. */
export function Duration({ of }: { of: Timed }) {
  const elapsed = useElapsed(of.startedAt, of.completedAt ?? of.failedAt ?? of.cancelledAt);
  return elapsed === null ? null : <span className="figure">{formatDuration(elapsed)}</span>;
}
