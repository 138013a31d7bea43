import { PgFlowProvider } from 'pgflow-live/react';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app.js';
import { client } from './client.js';

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <PgFlowProvider client={client}>
      <App />
    </PgFlowProvider>
  </StrictMode>,
);
