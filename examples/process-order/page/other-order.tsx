import { useStartFlow } from 'pgflow-live/react';
import { type FormEvent, useRef, useState } from 'react';
import type { processOrder } from '../flow.js';
import { ErrorMessage } from './error-message.js';
import { navigate } from './navigation.js';

/** Starts an order by an id that somebody types: the flow's own schema says whether it is one. */
export function OtherOrder() {
  const { start, pending, error } = useStartFlow<typeof processOrder>('process_order');
  const [orderId, setOrderId] = useState('');
  // Another input is another run; the same one, sent again, is the same run.
  const runId = useRef<string>(crypto.randomUUID());

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (pending) return;
    start({ orderId }, { runId: runId.current }).then(
      (run) => navigate(`/runs/${run.runId}`),
      () => {}, // `error` says it.
    );
  };
  return (
    <form className="other" onSubmit={submit}>
      <label htmlFor="order-id">Another order, by its id</label>
      <div className="other-fields">
        <input
          id="order-id"
          value={orderId}
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          placeholder="breakfast"
          aria-invalid={error !== null}
          aria-describedby={error ? 'order-id-error' : undefined}
          onChange={(event) => {
            setOrderId(event.target.value);
            runId.current = crypto.randomUUID();
          }}
        />
        <button type="submit" aria-disabled={pending}>
          {pending ? 'Starting …' : 'Start'}
        </button>
      </div>
      {error && <ErrorMessage error={error} id="order-id-error" />}
    </form>
  );
}
