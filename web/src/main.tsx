import './styles.css';

import { QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { RouterProvider } from 'react-router';

import { setUnauthenticatedHandler } from './api/client.ts';
import { queryClient } from './api/query-client.ts';
import { sessionEnd } from './api/session.ts';
import { startAppearance } from './lib/theme.ts';
import { setLiveUnauthenticatedHandler } from './live/stores.ts';
import { router } from './routes.tsx';

startAppearance();
const onSessionEnd = (): void => sessionEnd.setState({ ended: true });
setUnauthenticatedHandler(onSessionEnd);
setLiveUnauthenticatedHandler(onSessionEnd);

const root = document.getElementById('root');
if (!root) throw new Error('index.html has no #root');
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);
