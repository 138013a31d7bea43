import type { PgFlowError } from 'pgflow-live';
import { useStartFlow } from 'pgflow-live/react';
import { useRef, useState } from 'react';
import type { processOrder } from '../flow.js';

/** The last start of an order from this page. */
export interface OrderStart {
  readonly orderId: string;
  readonly runId: string;
  readonly state: 'pending' | 'started' | 'refused';
  /** Why, when it was refused or no answer came. */
  readonly error: PgFlowError | null;
}

export interface OrderStarts {
  readonly of: (orderId: string) => OrderStart | undefined;
  readonly byRunId: (runId: string) => OrderStart | undefined;
  /** Starts an order. Returns the run's id at once, so that its page can open before the answer. */
  readonly begin: (orderId: string) => string;
}

/**
 * Starts of orders. The runId is made here and kept until the start is answered with a run: a double
 * click, or another try after the answer was lost, is the same run.
 */
export function useOrderStarts(): OrderStarts {
  const { start } = useStartFlow<typeof processOrder>('process_order');
  const [starts, setStarts] = useState<ReadonlyMap<string, OrderStart>>(new Map());
  const newest = useRef(starts);

  const put = (next: OrderStart) => {
    newest.current = new Map(newest.current).set(next.orderId, next);
    setStarts(newest.current);
  };
  const begin = (orderId: string) => {
    const before = newest.current.get(orderId);
    if (before?.state === 'pending') return before.runId;
    const runId = before?.state === 'refused' ? before.runId : crypto.randomUUID();
    put({ orderId, runId, state: 'pending', error: null });
    start({ orderId }, { runId }).then(
      () => put({ orderId, runId, state: 'started', error: null }),
      (error: PgFlowError) => put({ orderId, runId, state: 'refused', error }),
    );
    return runId;
  };
  return {
    of: (orderId) => starts.get(orderId),
    byRunId: (runId) => [...starts.values()].find((start) => start.runId === runId),
    begin,
  };
}
