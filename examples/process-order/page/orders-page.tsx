import type { OrderSummary } from '../orders.js';
import { OrderRow } from './order-row.js';
import type { OrderStarts } from './order-starts.js';
import { OtherOrder } from './other-order.js';
import { RecentRuns } from './recent-runs.js';
import { useServerData } from './server-data.js';

export function OrdersPage({ orderStarts }: { orderStarts: OrderStarts }) {
  return (
    <div className="columns">
      <title>Orders · PgFlow Live</title>
      <section aria-labelledby="orders">
        <h1 id="orders" tabIndex={-1}>
          Orders
        </h1>
        <p className="lead">Start one and watch its run, step by step. Each is a file in examples/orders.</p>
        <Orders orderStarts={orderStarts} />
        <OtherOrder />
      </section>
      <RecentRuns />
    </div>
  );
}

function Orders({ orderStarts }: { orderStarts: OrderStarts }) {
  const orders = useServerData<OrderSummary[]>('/api/orders');
  if (orders.error) {
    return (
      <div className="note bad" role="alert">
        <p>The orders could not be read. {orders.error}</p>
        <button type="button" onClick={orders.retry}>
          Try again
        </button>
      </div>
    );
  }
  if (!orders.value) return <p className="note">Reading the orders …</p>;
  return (
    <ul className="cards">
      {orders.value.map((order) => (
        <OrderRow key={order.id} order={order} orderStarts={orderStarts} />
      ))}
    </ul>
  );
}
