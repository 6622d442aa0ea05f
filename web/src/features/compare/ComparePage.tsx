import type { ReactNode } from 'react';

import { PageHeader } from '@/ui/PageHeader.tsx';

export function ComparePage(): ReactNode {
  return <PageHeader title="Compare" />;
}
