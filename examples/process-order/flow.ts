import { defineFlow, NonRetryableError } from 'pgflow-live';
import { z } from 'zod';
import { type Order, orders, totalOf } from './orders.js';
import { chargeCard, packLine, reserveStock, takeTime, writeToCustomer } from './shop.js';

/**
 * An order's way through the shop:
 *
 *                ┌→ charge ──┐
 *     validate ──┤           ├→ pack (each line) ──→ confirm
 *                └→ reserve ─┘
 */
export const processOrder = defineFlow({
  slug: 'process_order',
  input: z.object({
    orderId: z.string().refine((id) => orders.has(id), { error: ({ input }) => noSuchOrder(String(input)) }),
  }),
  maxAttempts: 3,
  baseDelay: 0.5,
  timeout: 10,
})
  .step('validate', async ({ input, signal }) => {
    const { lines } = findOrder(input.orderId);
    await takeTime(signal);
    for (const [index, { name, quantity }] of lines.entries()) {
      if (quantity > 0) continue;
      // No further attempt can mend the order, so none is made.
      throw new NonRetryableError(
        `Line ${index + 1} (${name}) has the quantity ${quantity}; it has to be 1 or more`,
      );
    }
    return lines;
  })
  .step('charge', { dependsOn: ['validate'] }, async ({ input, deps, attempt, idempotencyKey, signal }) =>
    chargeCard(findOrder(input.orderId), totalOf(deps.validate), { attempt, idempotencyKey, signal }),
  )
  .step('reserve', { dependsOn: ['validate'] }, async ({ deps, signal }) =>
    reserveStock(deps.validate, signal),
  )
  .map('pack', { over: 'validate', dependsOn: ['charge', 'reserve'] }, async ({ item, index, signal }) =>
    packLine(item, index, signal),
  )
  .step('confirm', { dependsOn: ['charge', 'pack'] }, async ({ input, deps, signal }) => {
    const text = `${deps.pack.length} parcels are on their way. Receipt: ${deps.charge.receipt}`;
    return writeToCustomer(findOrder(input.orderId), text, signal);
  });

function findOrder(orderId: string): Order {
  const order = orders.get(orderId);
  if (!order) throw new NonRetryableError(noSuchOrder(orderId));
  return order;
}

function noSuchOrder(orderId: string): string {
  return `There is no order "${orderId}". There are: ${[...orders.keys()].join(', ')}.`;
}
