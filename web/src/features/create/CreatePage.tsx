import type { ReactNode } from 'react';

import { PageHeader } from '@/ui/PageHeader.tsx';

export function CreatePage(): ReactNode {
  return <PageHeader title="New container" />;
}
