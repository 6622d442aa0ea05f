import type { ReactNode } from 'react';

import { PageHeader } from '@/ui/PageHeader.tsx';

export function DashboardPage(): ReactNode {
  return <PageHeader title="Dashboard" />;
}
