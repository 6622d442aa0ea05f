import type { ReactNode } from 'react';
import { Outlet, useParams } from 'react-router';

import { PageHeader } from '@/ui/PageHeader.tsx';

export function ContainerPage(): ReactNode {
  const { id } = useParams();
  return (
    <>
      <PageHeader title={id ?? ''} />
      <Outlet />
    </>
  );
}
