import type { ReactNode } from 'react';

import { Skeleton } from '@/ui/Skeleton.tsx';

/** What is shown until the first page's code and session are there. */
export function Splash(): ReactNode {
  return (
    <div className="mx-auto mt-24 max-w-120 px-4">
      <Skeleton rows={4} />
    </div>
  );
}
