package maxcompute;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.aliyun.odps.Odps;
import com.aliyun.odps.PartitionSpec;
import com.aliyun.odps.tunnel.TableTunnel;
import com.aliyun.odps.tunnel.TableTunnel.StreamRecordPack;
import com.aliyun.odps.tunnel.TableTunnel.StreamUploadSession;
import com.aliyun.odps.tunnel.TunnelException;
import com.aliyun.odps.tunnel.io.CompressOption;
import com.aliyun.odps.tunnel.io.CompressOption.CompressAlgorithm;
import java.util.List;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

/** Stream uploads: each flushed pack is visible at once, without a commit. */
class StreamTest {
    private final Odps odps = Emulator.client();
    private final TableTunnel tunnel = new TableTunnel(odps);

    private static void flush(StreamUploadSession session, StreamRecordPack pack, long first, int count)
            throws Exception {
        for (long id = first; id < first + count; id++) {
            pack.append(Rows.fill(session.newRecord(), id));
        }
        assertEquals(count, pack.getRecordCount());
        assertFalse(pack.flush().isEmpty());
    }

    @Test
    void packsAreVisibleAfterTheirFlush() throws Exception {
        String table = Emulator.table(odps, "streamed", Rows.COLUMNS);
        StreamUploadSession session = tunnel.buildStreamUploadSession(Emulator.PROJECT, table).setSlotNum(2).build();
        StreamRecordPack pack = session.newRecordPack();
        flush(session, pack, 0, 10);
        assertEquals(10, Emulator.count(odps, table));
        flush(session, pack, 10, 5);
        assertEquals(LongStream.range(0, 15).boxed().toList(), Rows.ids(Rows.read(odps, table, null)));
    }

    @Test
    void packsAreCompressed() throws Exception {
        String table = Emulator.table(odps, "streamed_small", Rows.COLUMNS);
        StreamUploadSession session = tunnel.buildStreamUploadSession(Emulator.PROJECT, table).build();
        List<CompressAlgorithm> algorithms = List.of(
            CompressAlgorithm.ODPS_ZLIB, CompressAlgorithm.ODPS_SNAPPY, CompressAlgorithm.ODPS_LZ4_FRAME);
        for (CompressAlgorithm algorithm : algorithms) {
            flush(session, session.newRecordPack(new CompressOption(algorithm, 1, 0)), 0, 100);
        }
        assertEquals(100 * algorithms.size(), Emulator.count(odps, table));
    }

    @Test
    void aPartitionIsMadeOnTheWay() throws Exception {
        String table = Emulator.table(odps, "streamed_parts", Rows.COLUMNS + " PARTITIONED BY (pt STRING)");
        PartitionSpec partition = new PartitionSpec("pt=2026-11-24");
        assertEquals("NoSuchPartition", assertThrows(TunnelException.class, () -> tunnel
            .buildStreamUploadSession(Emulator.PROJECT, table).setPartitionSpec(partition).build()).getErrorCode());
        StreamUploadSession session = tunnel.buildStreamUploadSession(Emulator.PROJECT, table)
            .setPartitionSpec(partition).setCreatePartition(true).build();
        flush(session, session.newRecordPack(), 0, 3);
        assertEquals(List.of(0L, 1L, 2L), Rows.ids(Rows.read(odps, table, partition)));
    }
}
