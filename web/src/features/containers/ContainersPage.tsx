import type { ReactNode } from 'react';

import { PageHeader } from '@/ui/PageHeader.tsx';

export function ContainersPage(): ReactNode {
  return <PageHeader title="Containers" />;
}
