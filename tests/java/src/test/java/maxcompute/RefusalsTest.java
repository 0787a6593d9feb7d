package maxcompute;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.aliyun.odps.NoSuchObjectException;
import com.aliyun.odps.Odps;
import com.aliyun.odps.OdpsException;
import com.aliyun.odps.PartitionSpec;
import com.aliyun.odps.tunnel.TableTunnel;
import com.aliyun.odps.tunnel.TableTunnel.UploadSession;
import com.aliyun.odps.tunnel.TunnelException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** What is refused, as the SDK reports it: with the service's code, and nothing done. */
class RefusalsTest {
    private final Odps odps = Emulator.client();
    private final TableTunnel tunnel = new TableTunnel(odps);

    private static OdpsException refused(Executable action) {
        OdpsException error = assertThrows(OdpsException.class, action);
        assertNotNull(error.getRequestId());
        return error;
    }

    @Test
    void aMissingTable() {
        assertThrows(NoSuchObjectException.class, () -> odps.tables().get("no_such_table").reload());
        assertEquals("NoSuchTable", refused(
            () -> tunnel.createUploadSession(Emulator.PROJECT, "no_such_table")).getErrorCode());
    }

    @Test
    void aMissingProject() {
        assertThrows(NoSuchObjectException.class, () -> odps.projects().get("no_such_project").reload());
    }

    @Test
    void aMissingPartition() throws Exception {
        String table = Emulator.table(odps, "unparted", Rows.COLUMNS + " PARTITIONED BY (pt STRING)");
        assertEquals("NoSuchPartition", refused(() -> tunnel.createUploadSession(
            Emulator.PROJECT, table, new PartitionSpec("pt=none"))).getErrorCode());
        assertEquals("MissingPartitionSpec", refused(
            () -> tunnel.createUploadSession(Emulator.PROJECT, table)).getErrorCode());
    }

    @Test
    void aStatementAboutAMissingTable() {
        OdpsException error = assertThrows(
            OdpsException.class, () -> Emulator.run(odps, "SELECT * FROM no_such_table;"));
        assertTrue(error.getMessage().contains("ODPS-0130131"), error.getMessage());
    }

    @Test
    void aStatementThatCannotBeParsed() {
        OdpsException error = assertThrows(OdpsException.class, () -> Emulator.run(odps, "SELEC 1;"));
        assertTrue(error.getMessage().contains("ODPS-0130161:[1,"), error.getMessage());
    }

    @Test
    void aTableThatIsThere() throws Exception {
        String table = Emulator.table(odps, "there", Rows.COLUMNS);
        OdpsException error = assertThrows(
            OdpsException.class, () -> Emulator.run(odps, "CREATE TABLE " + table + " (id BIGINT);"));
        assertTrue(error.getMessage().contains("ODPS-"), error.getMessage());
    }

    @Test
    void aWrongKey() {
        Odps stranger = Emulator.client("not the key");
        OdpsException error = assertThrows(OdpsException.class, () -> stranger.tables().exists("any"));
        assertTrue(error.getMessage().contains("ODPS-0410042:Invalid signature value"), error.getMessage());
        assertThrows(
            TunnelException.class, () -> new TableTunnel(stranger).createUploadSession(Emulator.PROJECT, "any"));
    }

    @Test
    void anUnknownSession() throws Exception {
        String table = Emulator.table(odps, "unopened", Rows.COLUMNS);
        TunnelException error = assertThrows(
            TunnelException.class, () -> tunnel.getUploadSession(Emulator.PROJECT, table, "nosuch").getStatus());
        assertEquals("NoSuchUpload", error.getErrorCode());
        error = assertThrows(
            TunnelException.class, () -> tunnel.getDownloadSession(Emulator.PROJECT, table, "nosuch"));
        assertEquals("NoSuchDownload", error.getErrorCode());
    }

    @Test
    void aRangeBeyondTheEnd() throws Exception {
        String table = Emulator.table(odps, "short", Rows.COLUMNS);
        UploadSession session = tunnel.createUploadSession(Emulator.PROJECT, table);
        Rows.write(session, 0, 0, 2);
        session.commit(new Long[] {0L});
        TunnelException error = assertThrows(TunnelException.class,
            () -> tunnel.createDownloadSession(Emulator.PROJECT, table).openRecordReader(5, 3).read());
        assertEquals("InvalidRowRange", error.getErrorCode());
    }

    @Test
    void aCommitAfterTheTableHasGone() throws Exception {
        String table = Emulator.table(odps, "gone", Rows.COLUMNS);
        UploadSession session = tunnel.createUploadSession(Emulator.PROJECT, table);
        Rows.write(session, 0, 0, 2);
        odps.tables().delete(table);
        assertThrows(TunnelException.class, () -> session.commit(new Long[] {0L}));
    }
}
