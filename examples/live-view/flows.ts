import { defineJob, RetryAfterError } from 'pgflow-live';
import { z } from 'zod';
import { takeTime } from '../process-order/shop.js';

export { processOrder } from '../process-order/flow.js';

/** A job beside the flow. Its post office asks everybody to come again in a second, to keep spam away. */
export const sendEmail = defineJob(
  {
    slug: 'send_email',
    input: z.object({ to: z.email({ error: 'This is no address. One looks like ada@example.com.' }) }),
    timeout: 10,
  },
  async ({ input, attempt, signal }) => {
    await takeTime(signal);
    if (attempt === 1) throw new RetryAfterError(1, 'The post office asks to come again in a second');
    return { to: input.to, subject: 'News from the shop' };
  },
);
