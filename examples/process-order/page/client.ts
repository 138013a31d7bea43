import { createClient } from 'pgflow-live/client';

/** The page's way to the server's runs. One for the whole page. */
export const client = createClient({ url: '/pgflow' });
