import type { PgFlowError, Run } from 'pgflow-live';
import { useRun } from 'pgflow-live/react';
import type { processOrder } from '../flow.js';
import type { StepOutline } from '../server.js';
import { ErrorMessage } from './error-message.js';
import { FlowGraph } from './flow-graph.js';
import { FreshnessBadge, useFreshness } from './freshness.js';
import { JsonDetails } from './json-details.js';
import { Link } from './navigation.js';
import type { OrderStart, OrderStarts } from './order-starts.js';
import { RunFacts } from './run-facts.js';
import { useServerData } from './server-data.js';
import { StatusBadge } from './status.js';
import { StepList } from './step-list.js';

/** One run, live, under its own address. */
export function RunPage({ runId, orderStarts }: { runId: string; orderStarts: OrderStarts }) {
  const start = orderStarts.byRunId(runId);
  // While our own start is under way there is nothing to ask for: its answer brings the run.
  const view = useRun<typeof processOrder>(start?.state === 'pending' ? null : runId);
  const steps = useServerData<StepOutline[]>('/api/steps').value ?? [];
  const { run, state, error } = view;
  const freshness = useFreshness(view);

  if (!run && start?.error) return <NotStarted start={start} error={start.error} orderStarts={orderStarts} />;
  if (state === 'missing') return <Missing runId={runId} />;
  return (
    <article className="run">
      <title>{`${titleOf(run)} · PgFlow Live`}</title>
      <BackLink />
      <header className="run-head">
        <h1 tabIndex={-1}>{run?.input.orderId ?? start?.orderId ?? 'Run'}</h1>
        {run && <StatusBadge look={run.status} />}
        {freshness && <FreshnessBadge freshness={freshness} />}
      </header>
      <p role="status" className="unseen">
        {summaryOf(run)} {freshness?.text}
      </p>
      {error && <ErrorMessage error={error} />}
      {freshness?.look === 'lost' && (
        <p className="note stale">The server cannot be reached. This page goes on by itself when it can.</p>
      )}
      {!run && !error && <p className="note">{start ? 'Starting the run …' : 'Looking for the run …'}</p>}
      {run && <RunBody run={run} steps={steps} />}
    </article>
  );
}

function RunBody({ run, steps }: { run: Run<typeof processOrder>; steps: readonly StepOutline[] }) {
  return (
    <>
      <RunFacts run={run} />
      {run.error && (
        <p className="note bad">
          <strong>Failed in {run.error.stepSlug}.</strong> <span className="wraps">{run.error.message}</span>
        </p>
      )}
      <FlowGraph run={run} steps={steps} />
      <h2 className="section-title">Steps</h2>
      <StepList run={run} steps={steps} />
      <h2 className="section-title">Input and output</h2>
      <div className="card">
        <JsonDetails title="Input" value={run.input} />
        {run.status === 'completed' && <JsonDetails title="Output" value={run.output} />}
      </div>
    </>
  );
}

function NotStarted(props: { start: OrderStart; error: PgFlowError; orderStarts: OrderStarts }) {
  const { start, error, orderStarts } = props;
  return (
    <article className="run">
      <title>Not started · PgFlow Live</title>
      <BackLink />
      <h1 tabIndex={-1}>{start.orderId}</h1>
      <div className="note bad">
        <p>
          <strong>The start was not confirmed.</strong> Trying again cannot start the order twice.
        </p>
        <ErrorMessage error={error} />
        <button type="button" className="primary" onClick={() => orderStarts.begin(start.orderId)}>
          Try again
        </button>
      </div>
    </article>
  );
}

function Missing({ runId }: { runId: string }) {
  return (
    <article className="run">
      <title>No such run · PgFlow Live</title>
      <BackLink />
      <h1 tabIndex={-1}>No such run</h1>
      <p className="note" role="alert">
        There is no run <code>{runId}</code>, or it is not yours to see. Is the address complete?
      </p>
    </article>
  );
}

function BackLink() {
  return (
    <p>
      <Link href="/">← All orders</Link>
    </p>
  );
}

function titleOf(run: Run<typeof processOrder> | null): string {
  return run ? `${run.input.orderId}: ${run.status}` : 'Run';
}

function summaryOf(run: Run<typeof processOrder> | null): string {
  if (!run) return '';
  const { length } = run.stepStates;
  return `Run ${run.status}, ${length - run.remainingSteps} of ${length} steps done.`;
}
