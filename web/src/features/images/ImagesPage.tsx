import type { ReactNode } from 'react';

import { PageHeader } from '@/ui/PageHeader.tsx';

export function ImagesPage(): ReactNode {
  return <PageHeader title="Images" />;
}
