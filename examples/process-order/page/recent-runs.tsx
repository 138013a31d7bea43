import type { PgFlowError, Run } from 'pgflow-live';
import { useEffect, useState } from 'react';
import type { processOrder } from '../flow.js';
import { client } from './client.js';
import { formatTime } from './format.js';
import { Link } from './navigation.js';
import { Duration } from './run-facts.js';
import { StatusBadge } from './status.js';

const LIMIT = 10;
const WHILE_MOVING_MS = 2_000;
const AT_REST_MS = 10_000;

/** The newest runs, read again now and then. */
export function RecentRuns() {
  const { runs, error } = useRecentRuns();
  return (
    <section aria-labelledby="recent-runs">
      <h2 id="recent-runs" className="section-title">
        Recent runs
      </h2>
      {error && (
        <p className="note bad" role="alert">
          {runs ? 'Not up to date: ' : ''}
          {error.message} Trying again.
        </p>
      )}
      {!runs && !error && <p className="note">Reading the runs …</p>}
      {runs?.length === 0 && (
        <p className="note empty">No runs yet. Start an order, and its run appears here.</p>
      )}
      {runs && runs.length > 0 && (
        <ul className="cards">
          {runs.map((run) => (
            <RunRow key={run.runId} run={run} />
          ))}
        </ul>
      )}
    </section>
  );
}

function RunRow({ run }: { run: Run<typeof processOrder> }) {
  return (
    <li className="card run-row">
      <Link href={`/runs/${run.runId}`}>{run.input.orderId}</Link>
      <StatusBadge look={run.status} />
      <p className="facts-line">
        <time dateTime={run.startedAt.toISOString()}>{formatTime(run.startedAt)}</time> ·{' '}
        <Duration of={run} />
      </p>
      <code className="run-id">{run.runId}</code>
    </li>
  );
}

interface RecentRunsState {
  readonly runs: readonly Run<typeof processOrder>[] | null;
  readonly error: PgFlowError | null;
}

/** A list is asked for, not streamed; a hidden page asks for nothing, and at once when it is seen again. */
function useRecentRuns(): RecentRunsState {
  const [state, setState] = useState<RecentRunsState>({ runs: null, error: null });
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let newest = 0;
    const read = async () => {
      clearTimeout(timer);
      if (document.hidden) return;
      const asked = ++newest;
      const { runs, error } = await readRuns();
      if (asked !== newest) return;
      setState((before) => ({ runs: runs ?? before.runs, error }));
      const isMoving = error !== null || runs?.some(({ status }) => status === 'started');
      timer = setTimeout(read, isMoving ? WHILE_MOVING_MS : AT_REST_MS);
    };
    void read();
    document.addEventListener('visibilitychange', read);
    return () => {
      newest = -1;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', read);
    };
  }, []);
  return state;
}

async function readRuns(): Promise<RecentRunsState> {
  try {
    return { runs: (await client.listRuns({ flow: 'process_order', limit: LIMIT })).runs, error: null };
  } catch (error) {
    return { runs: null, error: error as PgFlowError };
  }
}
