import {
  createContext,
  createElement,
  type ReactNode,
  useCallback,
  useContext,
  useMemo,
  useState,
  useSyncExternalStore,
} from 'react';
import { PgFlowError } from '../errors.js';
import type { AnyFlow, FlowStartInput } from '../flow/flow.js';
import type { PgFlowClient } from '../http/client.js';
import { NO_RUN, type RunView } from '../http/run-view.js';
import type { Run } from '../run/run.js';

const ClientContext = createContext<PgFlowClient | null>(null);

/** Gives the hooks below it their client. Make the client once, outside of any component. */
export function PgFlowProvider(props: { client: PgFlowClient; children?: ReactNode }) {
  return createElement(ClientContext.Provider, { value: props.client }, props.children);
}

/**
 * A run, live: `{ run, state, error, connected, caughtUp }`. Draws anew when something in it changes,
 * and only then; components that show the same run share one connection. Without a runId, and on
 * the server, it is `loading`. A runId that was just made here may be watched before its run has started.
 *
 * @example
 * const { run, state } = useRun<typeof processOrder>(runId);
 * return state === 'missing' ? <NotFound /> : <p>{run?.step('charge').status}</p>;
 */
export function useRun<F extends AnyFlow = any>(runId: string | null | undefined): RunView<F> {
  const client = useClient('useRun');
  const store = useMemo(() => (runId ? client.watch<F>(runId) : NO_RUN), [client, runId]);
  return useSyncExternalStore(store.subscribe, store.getSnapshot, NO_RUN.getSnapshot);
}

/**
 * Starts runs of one flow. `start` stays the same function; it resolves to the run, or rejects with
 * the PgFlowError that `error` then shows too. `pending` is true until every start was answered.
 *
 * @example
 * const { start, pending, error } = useStartFlow<typeof processOrder>('process_order');
 * const buy = () => start({ orderId }, { runId }).catch(() => {});   // shown through `error`
 */
export function useStartFlow<F extends AnyFlow = any>(slug: string): StartFlow<F> {
  const client = useClient('useStartFlow');
  const [pending, setPending] = useState(0);
  const [error, setError] = useState<PgFlowError | null>(null);
  const start = useCallback<StartFlow<F>['start']>(
    async (input, options) => {
      setPending((count) => count + 1);
      setError(null);
      try {
        return await client.startFlow<F>(slug, input, options);
      } catch (failure) {
        setError(failure as PgFlowError);
        throw failure;
      } finally {
        setPending((count) => count - 1);
      }
    },
    [client, slug],
  );
  return { start, pending: pending > 0, error };
}

/** What `useStartFlow` gives. */
export interface StartFlow<F extends AnyFlow = any> {
  readonly start: (input: FlowStartInput<F>, options?: { runId?: string }) => Promise<Run<F>>;
  readonly pending: boolean;
  readonly error: PgFlowError | null;
}

function useClient(hook: string): PgFlowClient {
  const client = useContext(ClientContext);
  if (client !== null) return client;
  throw new PgFlowError('NOT_INITIALIZED', `${hook} needs a <PgFlowProvider client={…}> above it.`);
}
