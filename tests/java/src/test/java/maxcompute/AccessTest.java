package maxcompute;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.aliyun.odps.Instance;
import com.aliyun.odps.LogView;
import com.aliyun.odps.Odps;
import com.aliyun.odps.OdpsException;
import com.aliyun.odps.account.BearerTokenAccount;
import com.aliyun.odps.security.SecurityManager;
import com.aliyun.odps.task.SQLTask;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Who a client is and what another account may do, by the SDK's security manager; and the newer signature. */
class AccessTest {
    private static final int LEGACY = 1;
    private static final String OTHER = "RAM$1000000000000001:role/java-client";
    private final Odps odps = Emulator.client();

    @Test
    void anotherAccountIsAddedGrantedAndRemoved() throws Exception {
        SecurityManager security = odps.projects().get().getSecurityManager();
        assertTrue(security.runQuery("whoami", true).contains("ALIYUN$"));
        String table = Emulator.table(odps, "granted", Rows.COLUMNS);

        security.runQuery("add user `" + OTHER + "`", false);
        assertTrue(names(security).stream().anyMatch(name -> name.toLowerCase().contains("role/java-client")));
        security.runQuery("grant Describe, Alter on table " + table + " to user `" + OTHER + "`", false);
        String grants = security.runQuery("show grants for `" + OTHER + "`", true);
        assertTrue(grants.contains(table) && grants.contains("Describe") && grants.contains("Alter"), grants);
        security.runQuery("revoke Alter on table " + table + " from user `" + OTHER + "`", false);
        assertFalse(security.runQuery("show grants for `" + OTHER + "`", true).contains("Alter"));
        security.runQuery("remove user `" + OTHER + "`", false);
        assertTrue(names(security).stream().noneMatch(name -> name.toLowerCase().contains("role/java-client")));
    }

    private static List<String> names(SecurityManager security) throws OdpsException {
        return security.listUsers().stream().map(user -> user.getDisplayname()).toList();
    }

    @Test
    void aStatementThatIsNotOneIsRefused() throws Exception {
        SecurityManager security = odps.projects().get().getSecurityManager();
        assertThrows(OdpsException.class, () -> security.runQuery("grant everything to everybody", false));
    }

    @Test
    void aLogviewsTokenOpensItsInstanceAlone() throws Exception {
        String table = Emulator.table(odps, "unseen", Rows.COLUMNS);
        Instance instance = Emulator.run(odps, "SELECT 1 AS one;");
        String token = new LogView(odps, LEGACY).generateInstanceToken(instance, 1);
        Odps viewer = new Odps(new BearerTokenAccount(token));
        viewer.setEndpoint(odps.getEndpoint());
        viewer.setDefaultProject(Emulator.PROJECT);
        Instance seen = viewer.instances().get(instance.getId());
        assertTrue(seen.isSuccessful());
        assertEquals(1, SQLTask.getResultByInstanceTunnel(seen).get(0).get("one"));
        OdpsException refused = assertThrows(OdpsException.class, () -> viewer.tables().exists(table));
        assertTrue(refused.getMessage().contains("NO privilege 'odps:Describe'"), refused.getMessage());
    }

    @Test
    void aClientThatKnowsItsRegionSignsByIt() throws Exception {
        Odps regional = Emulator.regionalClient("cn-hangzhou");
        String table = Emulator.table(regional, "signed", Rows.COLUMNS);
        assertEquals(0, Rows.read(regional, table, null).size());
    }
}
