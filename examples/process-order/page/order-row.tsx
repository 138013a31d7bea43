import type { OrderSummary } from '../orders.js';
import { ErrorMessage } from './error-message.js';
import { countOf, formatMoney } from './format.js';
import { navigate } from './navigation.js';
import type { OrderStarts } from './order-starts.js';

/** One order and the button that starts it. */
export function OrderRow({ order, orderStarts }: { order: OrderSummary; orderStarts: OrderStarts }) {
  const start = orderStarts.of(order.id);
  return (
    <li className="card order">
      <div className="order-text">
        <h2>
          {order.title} <code>{order.id}</code>
        </h2>
        <p>{order.about}</p>
        <p className="facts-line">
          {order.customer} · {countOf(order.lines, 'line')} · {formatMoney(order.total)}
        </p>
      </div>
      <button
        type="button"
        className="primary"
        aria-label={`Start ${order.title}`}
        onClick={() => navigate(`/runs/${orderStarts.begin(order.id)}`)}
      >
        Start
      </button>
      {start?.error && <ErrorMessage error={start.error} />}
    </li>
  );
}
