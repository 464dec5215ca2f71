//! The generic driver: adopts any host that SSH reaches
